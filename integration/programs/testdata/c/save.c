// Saves version N with stdio in small pieces: save FILE N.
#include <stdio.h>

int main(int argc, char **argv) {
	if (argc != 3)
		return 3;
	FILE *f = fopen(argv[1], "w");
	if (!f)
		return 1;
	fprintf(f, "{\"version\": %s, \"rows\": [0", argv[2]);
	for (int i = 0; i < 8000; i++)
		fprintf(f, ",\n%s", argv[2]);
	fprintf(f, "]}\n");
	return fclose(f) == 0 ? 0 : 1;
}

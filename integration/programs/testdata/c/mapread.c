// Prints a file through a private map, and through a shared one where it can
// be had: mapread FILE.
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
	struct stat st;
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
		return 1;
	char *p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return 2;
	return fwrite(p, 1, st.st_size, stdout) == (size_t)st.st_size && fflush(stdout) == 0 ? 0 : 1;
}

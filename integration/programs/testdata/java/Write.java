import java.io.FileWriter;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Saves version N as Java programs do: Write KIND FILE N. */
class Write {
    public static void main(String[] args) throws Exception {
        StringBuilder b = new StringBuilder("{\"version\": " + args[2] + ", \"rows\": [0");
        for (int i = 0; i < 8000; i++) {
            b.append(",\n").append(args[2]);
        }
        String text = b.append("]}\n").toString();
        switch (args[0]) {
            case "files" -> Files.write(Path.of(args[1]), text.getBytes(StandardCharsets.UTF_8));
            case "writer" -> {
                try (FileWriter w = new FileWriter(args[1])) {
                    w.write(text);
                }
            }
            case "random" -> {
                try (RandomAccessFile f = new RandomAccessFile(args[1], "rw")) {
                    f.setLength(0);
                    f.write(text.getBytes(StandardCharsets.UTF_8));
                    f.getFD().sync();
                }
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
    }
}

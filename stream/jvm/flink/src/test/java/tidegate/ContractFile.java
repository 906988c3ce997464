package tidegate;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The contract of the readings topic, as the whole project shares it. */
final class ContractFile {
    private ContractFile() {}

    static String reading() {
        try {
            return Files.readString(Path.of("../../../schemas/reading.avsc"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}

package tidegate;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.apache.flink.table.data.StringData;

/**
 * Buckets of devices, the keys of the Python operator's state (`stream/jobs/buckets.py`): 256 by a hash of their names, few
 * beside the devices of a worker and many beside the workers, which share them. State is found by it: it may not change.
 */
final class Bucket {
    /** What is of no device goes here. */
    static final String NONE = "";

    private Bucket() {}

    /** The first two hexadecimal digits of the name's MD5. */
    static String of(StringData device) {
        try {
            byte[] hash = MessageDigest.getInstance("MD5").digest(device.toString().getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().toHexDigits(hash[0]);
        } catch (NoSuchAlgorithmException everyJavaHasIt) {
            throw new IllegalStateException(everyJavaHasIt);
        }
    }
}

package tidegate;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.StringData;

/** How long each metric's panes are, read from text such as {@code temperature=900000,*=300000} (milliseconds). */
final class PaneSizes {
    private static final String ANY = "*";

    private final Map<StringData, Long> sizes;
    private final long otherMs;

    private PaneSizes(Map<StringData, Long> sizes, long otherMs) {
        this.sizes = sizes;
        this.otherMs = otherMs;
    }

    /** @throws ValidationException for text that is not such a list, names a metric twice, or says nothing for {@code *} */
    static PaneSizes parse(String text) {
        Map<StringData, Long> sizes = new HashMap<>();
        for (String entry : text == null ? new String[] {""} : text.split(",", -1)) {
            int equals = entry.lastIndexOf('=');
            String metric = equals < 0 ? "" : entry.substring(0, equals).strip();
            long sizeMs = equals < 0 ? 0 : milliseconds(entry.substring(equals + 1).strip());
            if (metric.isEmpty() || sizeMs <= 0) {
                throw wrong(text, "'" + entry + "' is not metric=milliseconds");
            }
            if (sizes.put(StringData.fromString(metric), sizeMs) != null) {
                throw wrong(text, "'" + metric + "' is there twice");
            }
        }
        Long otherMs = sizes.get(StringData.fromString(ANY));
        if (otherMs == null) {
            throw wrong(text, "a size for '*', all other metrics, is missing");
        }
        return new PaneSizes(sizes, otherMs);
    }

    private static long milliseconds(String digits) {
        return digits.matches("[0-9]{1,12}") ? Long.parseLong(digits) : 0;
    }

    private static ValidationException wrong(String text, String why) {
        return new ValidationException(
                "Argument 'panes' of tidegate.Panes: " + why + ", in '" + text + "'. An example: temperature=900000,*=300000");
    }

    /** Of a metric, ms. */
    long sizeMs(StringData metric) {
        return sizes.getOrDefault(metric, otherMs);
    }
}

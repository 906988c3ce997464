package tidegate;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.flink.avro.shaded.org.apache.avro.io.BinaryDecoder;
import org.apache.flink.avro.shaded.org.apache.avro.io.Decoder;
import org.apache.flink.avro.shaded.org.apache.avro.io.DecoderFactory;
import org.apache.flink.avro.shaded.org.apache.avro.util.Utf8;

/**
 * Avro's decoder over one record, which never believes a length longer than the record.
 *
 * <p>Avro's own decoder allocates what a length prefix says before it looks for the bytes: ten bytes of garbage can ask
 * for 2 GB and take the whole TaskManager down. Arrays and maps are held to one byte per entry at least, so arrays of
 * nulls are refused.
 */
final class BoundedDecoder extends Decoder {
    private BinaryDecoder in;

    /** Starts on {@code bytes} from {@code offset}; nothing is left over from the record before. */
    void start(byte[] bytes, int offset) {
        in = DecoderFactory.get().binaryDecoder(bytes, offset, bytes.length - offset, in);
    }

    /** How many bytes have not been read. */
    int left() throws IOException {
        return in.inputStream().available();
    }

    private int bounded(long length) throws IOException {
        int left = left();
        if (length < 0 || length > left) {
            throw new EOFException("a length of " + length + " with " + left + " bytes left");
        }
        return (int) length;
    }

    @Override
    public Utf8 readString(Utf8 old) throws IOException {
        Utf8 text = old == null ? new Utf8() : old;
        text.setByteLength(bounded(in.readLong()));
        in.readFixed(text.getBytes(), 0, text.getByteLength());
        return text;
    }

    @Override
    public String readString() throws IOException {
        return readString(null).toString();
    }

    @Override
    public void skipString() throws IOException {
        in.skipFixed(bounded(in.readLong()));
    }

    @Override
    public ByteBuffer readBytes(ByteBuffer old) throws IOException {
        byte[] bytes = new byte[bounded(in.readLong())];
        in.readFixed(bytes, 0, bytes.length);
        return ByteBuffer.wrap(bytes);
    }

    @Override
    public void skipBytes() throws IOException {
        skipString();
    }

    @Override
    public long readArrayStart() throws IOException {
        return bounded(in.readArrayStart());
    }

    @Override
    public long arrayNext() throws IOException {
        return bounded(in.arrayNext());
    }

    @Override
    public long skipArray() throws IOException {
        return bounded(in.skipArray());
    }

    @Override
    public long readMapStart() throws IOException {
        return bounded(in.readMapStart());
    }

    @Override
    public long mapNext() throws IOException {
        return bounded(in.mapNext());
    }

    @Override
    public long skipMap() throws IOException {
        return bounded(in.skipMap());
    }

    @Override
    public void readFixed(byte[] bytes, int start, int length) throws IOException {
        in.readFixed(bytes, start, length);
    }

    @Override
    public void skipFixed(int length) throws IOException {
        in.skipFixed(bounded(length));
    }

    @Override
    public void readNull() {
        // nothing is written for a null
    }

    @Override
    public boolean readBoolean() throws IOException {
        return in.readBoolean();
    }

    @Override
    public int readInt() throws IOException {
        return in.readInt();
    }

    @Override
    public long readLong() throws IOException {
        return in.readLong();
    }

    @Override
    public float readFloat() throws IOException {
        return in.readFloat();
    }

    @Override
    public double readDouble() throws IOException {
        return in.readDouble();
    }

    @Override
    public int readEnum() throws IOException {
        return in.readEnum();
    }

    @Override
    public int readIndex() throws IOException {
        return in.readIndex();
    }
}

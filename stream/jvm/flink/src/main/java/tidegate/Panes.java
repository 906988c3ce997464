package tidegate;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.types.Row;

/**
 * The pane operator, keyed by device: see {@link DevicePanes} for what it does with the readings of one.
 *
 * <p>Devices are at hand, and their state is written when a checkpoint is about to be taken: with each reading it would be
 * looked up and written 10 times a second for a device that says so much. Whoever has a device at hand is the only one who
 * writes its state, and a failure takes both back to the checkpoint. A function of Flink's SQL is not told of checkpoints; an
 * operator is.
 */
public class Panes extends AbstractStreamOperator<Row> implements OneInputStreamOperator<RowData, Row> {
    private static final long serialVersionUID = 1L;
    private static final TypeInformation<byte[]> BYTES = PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
    private static final TypeInformation<Row> TOLD =
            Types.ROW_NAMED(new String[] {"bucket", "told"}, Types.STRING, BYTES);
    private static final int DEVICE = 0;
    private static final int READING = 1;
    private static final int MOST_DEVICES = 200_000;
    /** Some 17 bytes each. */
    private static final int MOST_UNWRITTEN = 1_000_000;

    private final String panes;
    private final long latenessMs;
    private final int mostDevices;
    private final int mostUnwritten;

    private transient PaneSizes sizes;
    private transient Map<StringData, DevicePanes> atHand;
    private transient List<DevicePanes> changed;
    private transient int unwritten;
    private transient ValueState<Clocks> clocks;
    private transient MapState<String, MetricTime> metrics;
    private transient ListState<byte[]> open;

    /** @throws ValidationException for constants that are none */
    Panes(String panes, long latenessMs, int mostDevices, int mostUnwritten) {
        PaneSizes.parse(panes);
        if (latenessMs < 0) {
            throw new ValidationException("The lateness of tidegate.Panes must be 0 ms or more, not " + latenessMs);
        }
        this.panes = panes;
        this.latenessMs = latenessMs;
        this.mostDevices = mostDevices;
        this.mostUnwritten = mostUnwritten;
    }

    /**
     * The panes of a table of readings: rows of a bucket of devices and of what is told of one of them, see {@link Output}.
     *
     * @param readings columns device_id STRING and BYTES, the reading as {@link PackedReader} and {@link Place} make it; or null
     *     and bytes that are passed on as they are, of no device
     * @param panes pane sizes, see {@link PaneSizes}
     * @param latenessMs how long a pane stays open beyond its end, on the clock of its metric
     * @param uid the name by which Flink finds the state after an upgrade
     */
    public static DataStream<Row> of(StreamTableEnvironment tables, Table readings, String panes, long latenessMs, String uid) {
        return of(tables, readings, new Panes(panes, latenessMs, MOST_DEVICES, MOST_UNWRITTEN), uid);
    }

    static DataStream<Row> of(StreamTableEnvironment tables, Table readings, Panes operator, String uid) {
        var rows = readings.getResolvedSchema().toPhysicalRowDataType().bridgedTo(RowData.class);
        DataStream<RowData> stream = tables.toDataStream(readings, rows);
        return stream.keyBy(row -> row.isNullAt(DEVICE) ? "" : row.getString(DEVICE).toString(), Types.STRING)
                .transform("panes", TOLD, operator)
                .uid(uid);
    }

    @Override
    public void open() throws Exception {
        super.open();
        sizes = PaneSizes.parse(panes);
        atHand = new HashMap<>();
        changed = new ArrayList<>();
        var runtime = getRuntimeContext();
        clocks = runtime.getState(new ValueStateDescriptor<>("clocks", Types.POJO(Clocks.class)));
        metrics = runtime.getMapState(new MapStateDescriptor<>("metrics", Types.STRING, Types.POJO(MetricTime.class)));
        open = runtime.getListState(new ListStateDescriptor<>("open", BYTES));
    }

    /** The key is set where state is touched, which is not with each reading. */
    @Override
    @SuppressWarnings("rawtypes") // as Flink has it
    public void setKeyContextElement1(StreamRecord record) {
        // see above
    }

    @Override
    public void processElement(StreamRecord<RowData> record) throws Exception {
        RowData row = record.getValue();
        byte[] bytes = row.getBinary(READING);
        if (row.isNullAt(DEVICE)) {
            give(Bucket.NONE, bytes);
            return;
        }
        Arrival arrival = new Arrival(row.getString(DEVICE), bytes);
        if (arrival.isInvalid()) {
            give(Bucket.of(arrival.deviceId()), Output.turnedAway("INVALID", arrival));
        } else if (!arrival.isFuture()) {
            take(arrival);
        } else if (!arrival.isMarker()) {
            give(Bucket.of(arrival.deviceId()), Output.turnedAway("FUTURE", arrival));
        }
    }

    private void take(Arrival arrival) throws Exception {
        DevicePanes device = device(arrival.deviceId());
        if (!device.isChanged) {
            changed.add(device);
        }
        device.take(arrival, told -> give(device.bucket, told));
        if (++unwritten >= mostUnwritten) {
            write();
        }
    }

    private DevicePanes device(StringData id) throws Exception {
        DevicePanes device = atHand.get(id);
        if (device == null) {
            if (atHand.size() >= mostDevices) {
                write();
                atHand.clear();
            }
            // Flink may use the row's memory again.
            StringData own = StringData.fromBytes(id.toBytes());
            device = new DevicePanes(own, sizes, latenessMs, new Keyed(own.toString()));
            atHand.put(own, device);
        }
        return device;
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpointId) throws Exception {
        write();
    }

    private void write() throws Exception {
        for (DevicePanes device : changed) {
            device.write();
        }
        changed.clear();
        unwritten = 0;
    }

    private void give(String bucket, byte[] told) {
        output.collect(new StreamRecord<>(Row.of(bucket, told)));
    }

    /** A device's state among that of the others. */
    private final class Keyed implements DeviceState {
        private final String device;

        private Keyed(String device) {
            this.device = device;
        }

        @Override
        public Clocks clocks() throws Exception {
            setCurrentKey(device);
            return clocks.value();
        }

        @Override
        public void keepClocks(Clocks kept) throws Exception {
            setCurrentKey(device);
            clocks.update(kept);
        }

        @Override
        public MetricTime metric(String name) throws Exception {
            setCurrentKey(device);
            return metrics.get(name);
        }

        @Override
        public void keepMetric(String name, MetricTime time) throws Exception {
            setCurrentKey(device);
            metrics.put(name, time);
        }

        @Override
        public Iterable<byte[]> open() throws Exception {
            setCurrentKey(device);
            return open.get();
        }

        @Override
        public void addOpen(byte[] readings) throws Exception {
            setCurrentKey(device);
            open.add(readings);
        }

        @Override
        public void clearOpen() {
            setCurrentKey(device);
            open.clear();
        }
    }
}

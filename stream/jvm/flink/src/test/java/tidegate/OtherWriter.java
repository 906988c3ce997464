package tidegate;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericData;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericRecord;

/** A producer whose schema is not quite the contract's. */
record OtherWriter(Schema schema) {
    Schema without(String name) {
        List<Schema.Field> fields = new ArrayList<>();
        for (Schema.Field field : schema.getFields()) {
            if (!field.name().equals(name)) {
                fields.add(new Schema.Field(field, field.schema()));
            }
        }
        return Schema.createRecord(schema.getName(), null, schema.getNamespace(), false, fields);
    }

    /** {@link Wire#reading} in this schema; a field that reading lacks is a map of tags. */
    GenericRecord reading(int n) {
        GenericRecord plain = Wire.reading(n);
        GenericRecord record = new GenericData.Record(schema);
        for (Schema.Field field : schema.getFields()) {
            boolean known = Wire.READING.getField(field.name()) != null;
            record.put(field.pos(), known ? plain.get(field.name()) : Map.of("line", "4"));
        }
        return record;
    }
}

package tidegate;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.SchemaParseException;
import org.apache.flink.formats.avro.typeutils.AvroSchemaConverter;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/** A contract ({@code .avsc}) held against the columns of a table, once, when a query is planned. */
final class Contract {
    private Contract() {}

    /**
     * The contract cut down to the table's columns, in the table's order: the reader schema of every record. Avro then
     * skips the other fields and fills in defaults, so old writers and new ones can be read.
     *
     * @throws ValidationException for a column the contract lacks, of another type, or NOT NULL (an undecodable record
     *     is a row of nulls)
     */
    static Schema project(String contract, RowType columns) {
        Schema whole = parse(contract);
        List<Schema.Field> fields = new ArrayList<>();
        for (RowType.RowField column : columns.getFields()) {
            Schema.Field field = whole.getField(column.getName());
            check(whole, field, column);
            fields.add(new Schema.Field(field, field.schema()));
        }
        return Schema.createRecord(whole.getName(), whole.getDoc(), whole.getNamespace(), false, fields);
    }

    private static Schema parse(String contract) {
        Schema schema;
        try {
            schema = new Schema.Parser().parse(contract);
        } catch (SchemaParseException e) {
            throw new ValidationException("Option 'schema' is not an Avro schema: " + e.getMessage(), e);
        }
        if (schema.getType() != Schema.Type.RECORD) {
            throw new ValidationException("Option 'schema' is not an Avro record but: " + schema.getType());
        }
        return schema;
    }

    private static void check(Schema contract, Schema.Field field, RowType.RowField column) {
        if (field == null) {
            String known = contract.getFields().stream().map(Schema.Field::name).collect(Collectors.joining(", "));
            throw new ValidationException("The contract " + contract.getFullName() + " has no field for the column '"
                    + column.getName() + "'. It has: " + known);
        }
        if (!column.getType().isNullable()) {
            throw new ValidationException("The column '" + column.getName()
                    + "' must not be NOT NULL: an undecodable record is a row of nulls.");
        }
        if (!fits(withoutNull(field.schema()), column.getType())) {
            throw new ValidationException("The column '" + column.getName() + "' is " + column.getType().asSummaryString()
                    + ", but the contract has: " + field.schema());
        }
    }

    /** Times may be read as the plain numbers they are; for the rest the stock format's mapping holds. */
    private static boolean fits(Schema field, LogicalType column) {
        boolean number = field.getType() == Schema.Type.LONG && column.is(LogicalTypeRoot.BIGINT);
        LogicalType stock = AvroSchemaConverter.convertToDataType(field.toString()).getLogicalType();
        return number || stock.copy(true).equals(column);
    }

    private static Schema withoutNull(Schema schema) {
        if (!schema.isUnion()) {
            return schema;
        }
        List<Schema> others = schema.getTypes().stream().filter(type -> type.getType() != Schema.Type.NULL).toList();
        return others.size() == 1 ? others.get(0) : schema;
    }
}

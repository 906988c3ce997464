package tidegate;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.RestService;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.SchemaString;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.SchemaParseException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writer schemas by their id, from a registry that speaks Confluent's API.
 *
 * <p>Only the registry's own "no such schema" (status 404 with error code 40403) makes a record undecodable. Everything
 * else, a refused connection, a timeout, 401, 500, or the 404 of a wrong URL, is the registry's trouble and not the
 * record's: it is asked again, for as long as it takes. Meanwhile the source stands still and nothing is lost.
 */
final class Registry {
    private static final Logger LOG = LoggerFactory.getLogger(Registry.class);
    private static final int NOT_FOUND = 404;
    private static final int SCHEMA_NOT_FOUND = 40403;
    private static final long FIRST_PAUSE_MS = 100;
    private static final long LONGEST_PAUSE_MS = 5_000;
    private static final int CONNECT_TIMEOUT_MS = 5_000;
    private static final int READ_TIMEOUT_MS = 10_000;
    /** An unknown id is asked for again after this long: a flood of them must not become a flood of requests. */
    private static final long UNKNOWN_NS = 1_000_000_000L;
    private static final int MOST_UNKNOWN = 1_000;

    private final String url;
    private final RestService rest;
    private final Map<Integer, Long> unknown = new HashMap<>();

    /**
     * @param url such as {@code http://127.0.0.1:8080/apis/ccompat/v7}
     * @param properties TLS and login settings by the client's own names, or null
     */
    Registry(String url, Map<String, String> properties) {
        this.url = url;
        this.rest = new RestService(url);
        // Its constructor is what applies the properties to the connection; its caches are not used.
        new CachedSchemaRegistryClient(rest, 1, properties);
        rest.setHttpConnectTimeoutMs(CONNECT_TIMEOUT_MS);
        rest.setHttpReadTimeoutMs(READ_TIMEOUT_MS);
    }

    /**
     * Asks for a schema, and waits while the registry cannot answer.
     *
     * @throws Undecodable when the registry has no such schema, or it is not Avro
     * @throws IOException when the thread is interrupted (the job was cancelled) while waiting
     */
    Schema schema(int id) throws IOException, Undecodable {
        Long asked = unknown.get(id);
        if (asked != null && System.nanoTime() - asked < UNKNOWN_NS) {
            throw unknownSchema(id);
        }
        for (long pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
            try {
                return parse(id, rest.getId(id));
            } catch (RestClientException e) {
                if (e.getStatus() == NOT_FOUND && e.getErrorCode() == SCHEMA_NOT_FOUND) {
                    remember(id);
                    throw unknownSchema(id);
                }
                waitForRegistry(id, e, pauseMs);
            } catch (IOException e) {
                waitForRegistry(id, e, pauseMs);
            }
        }
    }

    private void waitForRegistry(int id, Exception trouble, long pauseMs) throws IOException {
        LOG.warn(
                "The schema registry {} does not give schema {}, asking again in {} ms: {}", url, id, pauseMs, trouble.toString());
        try {
            Thread.sleep(pauseMs);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("Interrupted while waiting for the schema registry " + url, e);
        }
    }

    private void remember(int id) {
        if (unknown.size() >= MOST_UNKNOWN) {
            unknown.clear();
        }
        unknown.put(id, System.nanoTime());
    }

    private static Undecodable unknownSchema(int id) {
        return new Undecodable("the registry has no schema " + id);
    }

    private static Schema parse(int id, SchemaString answer) throws Undecodable {
        try {
            return new Schema.Parser().setValidateDefaults(false).parse(answer.getSchemaString());
        } catch (SchemaParseException e) {
            throw new Undecodable("schema " + id + " is not plain Avro: " + e.getMessage());
        }
    }
}

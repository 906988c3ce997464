package tidegate;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.util.Deque;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.atomic.AtomicInteger;

/** A schema registry on loopback that answers GET /schemas/ids/{id}, and misbehaves as it is told. */
final class FakeRegistry implements AutoCloseable {
    /** An answer other than the schema. */
    record Trouble(int status, String body) {}

    final Map<Integer, String> schemas = new ConcurrentHashMap<>();
    /** What the next requests get instead, one each. */
    final Deque<Trouble> troubles = new ConcurrentLinkedDeque<>();
    final AtomicInteger requests = new AtomicInteger();
    private final int port = freePort();
    private HttpServer server;

    String url() {
        return "http://127.0.0.1:" + port;
    }

    FakeRegistry up() {
        try {
            server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        server.createContext("/", this::answer);
        server.start();
        return this;
    }

    private void answer(HttpExchange exchange) throws IOException {
        requests.incrementAndGet();
        String path = exchange.getRequestURI().getPath();
        String schema = schemas.get(Integer.parseInt(path.substring(path.lastIndexOf('/') + 1)));
        Trouble trouble = troubles.poll();
        if (trouble != null) {
            send(exchange, trouble.status(), trouble.body());
        } else if (schema == null) {
            send(exchange, 404, "{\"error_code\":40403,\"message\":\"Schema not found\"}");
        } else {
            send(exchange, 200, "{\"schema\":\"" + schema.replace("\"", "\\\"").replace("\n", " ") + "\"}");
        }
    }

    private static void send(HttpExchange exchange, int status, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().add("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static int freePort() {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        if (server != null) {
            server.stop(0);
        }
    }
}

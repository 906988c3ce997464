package tidegate;

/** A record that cannot be read. The message is the reason shown to people; there is no stack trace to pay for. */
final class Undecodable extends Exception {
    private static final long serialVersionUID = 1L;

    Undecodable(String reason) {
        super(reason, null, false, false);
    }
}

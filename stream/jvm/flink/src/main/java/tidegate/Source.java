package tidegate;

/** Whose clock a reading's time is from: the device's own, or its gateway's when the device sent no time. */
enum Source {
    DEVICE(1),
    GATEWAY(2);

    /** One bit, for sets of sources. */
    final int bit;

    Source(int bit) {
        this.bit = bit;
    }
}

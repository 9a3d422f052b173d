import HeddleWire
import Testing

@Suite struct TransportTests {}

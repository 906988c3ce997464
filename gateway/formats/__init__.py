"""Payload formats beyond the three plain ones: mapped JSON and CBOR, SenML, structs, custom."""

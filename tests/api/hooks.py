"""What schemathesis does not know by itself."""

import zlib

import schemathesis

KNOWN = {"room": ["tavern", "chapel"], "who": ["ann@example.org", "*@staff.example", "1", "2"]}


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else str(value).encode()


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    """Half of all requests are about a room that is held, or somebody there may be: what is asked for is done."""
    for name, known in KNOWN.items():
        value = (path_parameters or {}).get(name)
        chance = zlib.crc32(repr(value).encode())
        if value is not None and chance % 2:
            path_parameters[name] = known[chance // 2 % len(known)]
    return path_parameters

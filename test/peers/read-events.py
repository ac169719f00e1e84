"""Reads framed events with fastavro: SCHEMAS (JSON of id to Avro schema) and EVENTS (lines of hex).

Prints a JSON line for each: {"value": ...} with bytes as {"hex": ...}, or {"error": ...}.
"""
import io
import json
import sys

import fastavro


def shown(value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {name: shown(part) for name, part in value.items()}
    return [shown(part) for part in value] if isinstance(value, list) else value


def read(schemas, framed):
    if len(framed) < 5 or framed[0] != 0:
        raise ValueError("no Confluent frame")
    body = io.BytesIO(framed[5:])
    value = fastavro.schemaless_reader(body, schemas[int.from_bytes(framed[1:5], "big")], None)
    if body.read(1):
        raise ValueError("bytes after the body")
    return value


def main(schemas_path, events_path):
    with open(schemas_path) as file:
        schemas = {int(number): fastavro.parse_schema(schema) for number, schema in json.load(file).items()}
    with open(events_path) as file:
        for line in file:
            try:
                print(json.dumps({"value": shown(read(schemas, bytes.fromhex(line.strip())))}))
            except Exception as error:
                print(json.dumps({"error": f"{type(error).__name__}: {error}"}))


if __name__ == "__main__":
    main(*sys.argv[1:])

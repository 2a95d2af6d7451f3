"""The virtual GPU node: a fake driver under the real pynvml, and a serving engine that obeys it."""

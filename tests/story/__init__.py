"""A made-up morning of three nodes, as series: what dashboards are tested and pictured with.

No number here is a measurement. Names and labels are those of the exporter, the actuator and the
testbed's engine, which a test compares.
"""

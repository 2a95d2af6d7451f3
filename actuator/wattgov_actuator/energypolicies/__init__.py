"""The EnergyPolicy objects of a cluster: followed on a thread, and read as rule documents."""

"""The admission limiter: a reverse proxy that bounds what is in flight, and wakes who sleeps."""

"""`test`: what rules decide in scenarios, on a simulated machine."""

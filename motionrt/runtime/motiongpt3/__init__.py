"""The MotionGPT3 family."""

"""MotionGPT with a Qwen3 language model: motions as words of a conversation."""

"""Fine-tuning: chains, wordings and examples; trees of examples, and trainers.

torch and transformers are imported only in the modules that train, and only when these are used.
"""

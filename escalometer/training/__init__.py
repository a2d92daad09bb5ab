"""Fine-tuning: what a model is taught (chains, wordings, examples) and how (trees, trainers).

torch and transformers are imported only in the modules that train, and only when these are used.
"""

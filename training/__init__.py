"""How the bundled models are made: tokenizer, training mix, loop, evaluation, model card."""

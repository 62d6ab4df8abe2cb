"""The retrieval-head study: its data first, rankings and ablation to come."""

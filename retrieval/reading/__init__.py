"""Attention rows of the needed queries alone, decoding, answers with heads ablated."""

"""The wire: plain data and pure rules that both sides share, and the only place that declares a shape.

Nothing here does I/O, keeps state or reads a clock; what a rule needs of the time comes in as an argument.
"""

"""The authors' own logs, read as they are: files to tidy tables, tables to figures.

The release points to 60.5 GB of them. Every file is read once, line by line, so that its size does
not matter; lines that are damaged are told and left out. Nothing is unpickled.
"""

//! Segments as their callers see them: written, opened, selected, read; model and damage.

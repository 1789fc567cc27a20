//! The printers against hand-written queries.

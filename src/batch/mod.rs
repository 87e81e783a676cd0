//! Record batches (format v2) as bytes: writing, reading, compressing.

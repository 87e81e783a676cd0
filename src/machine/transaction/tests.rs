//! Transactions step by step, and under any order of calls, lost answers, refusals and failures.

mod steps;
mod world;

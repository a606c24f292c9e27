//! The record layer against vectors, against a model of it, and case by case.

mod cases;
mod properties;
mod vectors;

//! The store sealed: the suite of every engine through the wrapper, and what is on disk.

#[cfg(test)]
#[macro_use]
#[path = "../../../store/tests/store/suite.rs"]
mod suite;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod etcd;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod kms;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod service;

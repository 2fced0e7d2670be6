//! The store from outside: what every engine promises, and what the embedded one does across restarts and kills.

#[cfg(test)]
#[macro_use]
mod suite;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod etcd;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod model;
#[cfg(test)]
mod restart;

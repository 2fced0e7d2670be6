//! Unknown types and what they turn out to be.
//!
//! Invariant: what an unknown is bound to has at most `TYPE_NODES_MAX` nodes; a larger one becomes `dyn`. Without it a
//! short expression could name a type of exponential size.

use crate::types::Type;
use std::sync::Arc;

const TYPE_NODES_MAX: usize = 500;

/// What is known of the unknowns, by their indices.
#[derive(Debug, Default)]
pub(crate) struct Solver {
    known: Vec<Option<Type>>,
    /// What was known before, for an attempt that fails to be taken back.
    trail: Vec<(usize, Option<Type>)>,
}

impl Solver {
    pub(crate) fn fresh(&mut self) -> Type {
        self.known.push(None);
        Type::Var(self.known.len() - 1)
    }

    /// Whether each of these types fits the other at its place; what that teaches is kept only if all do.
    pub(crate) fn assign_all(&mut self, wanted: &[Type], found: &[Type]) -> bool {
        if wanted.len() != found.len() {
            return false;
        }
        self.trail.clear();
        let fits = wanted.iter().zip(found).all(|(wanted, found)| self.fit(wanted, found));
        while let Some((index, before)) = self.trail.pop() {
            if !fits {
                self.known[index] = before;
            }
        }
        fits
    }

    pub(crate) fn assign(&mut self, wanted: &Type, found: &Type) -> bool {
        self.assign_all(std::slice::from_ref(wanted), std::slice::from_ref(found))
    }

    /// The type with what is known put in.
    pub(crate) fn substituted(&self, found: &Type) -> Type {
        self.replaced(found, false)
    }

    /// The same, and `dyn` for what stayed unknown.
    pub(crate) fn settled(&self, found: &Type) -> Type {
        self.replaced(found, true)
    }

    fn replaced(&self, found: &Type, settle: bool) -> Type {
        let inner = |inner: &Arc<Type>| Arc::new(self.replaced(inner, settle));
        match found {
            Type::Var(index) => match &self.known[*index] {
                Some(known) => self.replaced(known, settle),
                None if settle => Type::Dyn,
                None => found.clone(),
            },
            Type::List(element) => Type::List(inner(element)),
            Type::Optional(element) => Type::Optional(inner(element)),
            Type::Map(key, value) => Type::Map(inner(key), inner(value)),
            Type::Type(Some(element)) => Type::Type(Some(inner(element))),
            other => other.clone(),
        }
    }

    fn fit(&mut self, wanted: &Type, found: &Type) -> bool {
        match (wanted, found) {
            (Type::Var(a), Type::Var(b)) if a == b => true,
            (_, Type::Var(index)) if self.known[*index].is_some() => self.bind(*index, wanted),
            (Type::Var(index), _) => self.bind(*index, found),
            (_, Type::Var(index)) => self.bind(*index, wanted),
            _ if wanted.is_dyn_or_error() || found.is_dyn_or_error() => true,
            (Type::Null, nullable) | (nullable, Type::Null) => {
                matches!(nullable, Type::Null | Type::Object(_) | Type::Opaque(_) | Type::Timestamp | Type::Duration)
            }
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.fit(a, b),
            (Type::Map(a, c), Type::Map(b, d)) => self.fit(a, b) && self.fit(c, d),
            (Type::Type(_), Type::Type(_)) => true,
            _ => wanted == found,
        }
    }

    /// That an unknown is this type, or fits it.
    fn bind(&mut self, index: usize, other: &Type) -> bool {
        match self.known[index].clone() {
            Some(known) => {
                if known == *other {
                    return true;
                }
                if !self.fit(other, &known) {
                    return false;
                }
                self.set(index, most_general(known, other.clone()));
                true
            }
            None if self.occurs(index, other) => matches!(other, Type::Var(_)),
            None => {
                let small = self.nodes(other, TYPE_NODES_MAX) < TYPE_NODES_MAX;
                self.set(index, if small { other.clone() } else { Type::Dyn });
                true
            }
        }
    }

    fn set(&mut self, index: usize, known: Type) {
        let before = self.known[index].replace(known);
        self.trail.push((index, before));
    }

    /// How many nodes a type has, counted no further than `most`.
    fn nodes(&self, of: &Type, most: usize) -> usize {
        if most == 0 {
            return 0;
        }
        let below = match of {
            Type::Var(index) => self.known[*index].as_ref().map_or(0, |known| self.nodes(known, most - 1)),
            Type::List(inner) | Type::Optional(inner) | Type::Type(Some(inner)) => self.nodes(inner, most - 1),
            Type::Map(key, value) => {
                let key = self.nodes(key, most - 1);
                key + self.nodes(value, most - 1 - key)
            }
            _ => 0,
        };
        1 + below
    }

    fn occurs(&self, index: usize, within: &Type) -> bool {
        match within {
            Type::Var(other) if *other == index => true,
            Type::Var(other) => self.known[*other].as_ref().is_some_and(|known| self.occurs(index, known)),
            Type::List(inner) | Type::Optional(inner) => self.occurs(index, inner),
            Type::Map(key, value) => self.occurs(index, key) || self.occurs(index, value),
            _ => false,
        }
    }
}

/// The one of two types, which fit each other, that says less.
pub(crate) fn most_general(a: Type, b: Type) -> Type {
    if says_no_more(&a, &b) { a } else { b }
}

fn says_no_more(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn | Type::Var(_) | Type::Param(_), _) => true,
        (_, Type::Dyn | Type::Var(_) | Type::Param(_)) => false,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => says_no_more(a, b),
        (Type::Map(a, c), Type::Map(b, d)) => says_no_more(a, b) && says_no_more(c, d),
        (Type::Null, _) => false,
        (_, Type::Null) => true,
        _ => true,
    }
}

//! What an expression may use: variables, functions, objects to make.

use crate::functions::{Functions, type_named};
use crate::issue::Issues;
use crate::library::{self, Library};
use crate::program::Program;
use crate::schema::Schema;
use crate::types::{ObjectType, Type};
use std::sync::{Arc, OnceLock};

/// An environment. Cheap to clone; extending one leaves others as they are.
#[derive(Clone, Debug)]
pub struct Env {
    pub(crate) functions: Arc<Functions>,
    pub(crate) variables: Vec<Variable>,
    structs: Vec<ObjectType>,
    open_structs: Vec<Arc<str>>,
    /// Whether the elements of a list or map in the source must have one type.
    pub(crate) homogeneous: bool,
    /// Whether constants that are patterns, durations and timestamps are checked with the types.
    pub(crate) checks_literals: bool,
    /// Whether `cel.bind(name, value, expression)` names a value.
    pub(crate) binds: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: Arc<str>,
    pub(crate) declared: Type,
    pub(crate) schema: Option<Arc<Schema>>,
}

impl Env {
    /// The language's own functions alone.
    pub fn standard() -> Env {
        static FUNCTIONS: OnceLock<Arc<Functions>> = OnceLock::new();
        Env::of(FUNCTIONS.get_or_init(|| with(&[Library::Standard])).clone())
    }

    /// The functions that every expression of Kubernetes has.
    pub fn kubernetes() -> Env {
        static FUNCTIONS: OnceLock<Arc<Functions>> = OnceLock::new();
        let functions = FUNCTIONS.get_or_init(|| with(library::KUBERNETES)).clone();
        Env { homogeneous: true, checks_literals: true, ..Env::of(functions) }
    }

    fn of(functions: Arc<Functions>) -> Env {
        Env {
            functions,
            variables: Vec::new(),
            structs: Vec::new(),
            open_structs: Vec::new(),
            homogeneous: false,
            checks_literals: false,
            binds: false,
        }
    }

    /// With one more library.
    pub fn library(mut self, library: Library) -> Env {
        let mut functions = self.functions.as_ref().clone();
        library.rows().iter().for_each(|rows| functions.add(rows));
        self.functions = Arc::new(functions);
        self
    }

    /// With `cel.bind`, which names a value within an expression.
    pub fn bindings(self) -> Env {
        Env { binds: true, ..self }
    }

    /// With a variable of a type, and of unknown size.
    pub fn variable(mut self, name: impl Into<Arc<str>>, declared: Type) -> Env {
        self.variables.push(Variable { name: name.into(), declared, schema: None });
        self
    }

    /// With a variable whose type and sizes a schema tells.
    pub fn object(mut self, name: impl Into<Arc<str>>, schema: Arc<Schema>) -> Env {
        let declared = schema.value_type();
        self.variables.push(Variable { name: name.into(), declared, schema: Some(schema) });
        self
    }

    /// With an object that expressions may make: `Name{field: value}`.
    pub fn structure(mut self, object: ObjectType) -> Env {
        self.structs.push(object);
        self
    }

    /// With objects of this name, and of names that begin with it and a dot, that may have any field.
    pub fn open_structures(mut self, name: impl Into<Arc<str>>) -> Env {
        self.open_structs.push(name.into());
        self
    }

    /// Parses and checks an expression.
    pub fn compile(&self, source: &str) -> Result<Program, Issues> {
        Program::compile(self, source)
    }

    pub(crate) fn structure_named(&self, name: &str) -> Option<ObjectType> {
        if let Some(object) = self.structs.iter().find(|object| object.name() == name) {
            return Some(object.clone());
        }
        let open = |prefix: &Arc<str>| {
            name.strip_prefix(&**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.open_structs.iter().any(open).then(|| ObjectType::open(name))
    }

    /// The type that a name means as a value.
    pub(crate) fn type_named(&self, name: &str) -> Option<Type> {
        type_named(name).or_else(|| self.structure_named(name).map(Type::Object))
    }
}

fn with(libraries: &[Library]) -> Arc<Functions> {
    let mut functions = Functions::default();
    libraries.iter().flat_map(|library| library.rows()).for_each(|rows| functions.add(rows));
    Arc::new(functions)
}

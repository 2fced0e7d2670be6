//! The table of API facts, read lazily from its committed text.
//!
//! Grammar, one fact a line, tokens parted by one space:
//!
//! - `P <package> <alias> [<group>/<version>]` opens a package; the group version is there when it has kinds.
//! - `M <Name> [openapi] [kind] [atomic]` opens a message: part of the OpenAPI documents, a kind of the package's group
//!   version, applied as a whole.
//! - `<field> <number|-> <type> [!] [list=<type>[:<keys>]] [patch=<strategies>[:<merge key>]] [atomic|granular] [inline]
//!   [via] [default=<json>] [zero]`, where a type is `s`, `i`, `l`, `b`, `y` (bytes), `d`, `<Name>` of the same package or
//!   `<alias>.<Name>`, after `[]` for a list or `{}` for a map from strings. `!` is required. `inline` is a protobuf
//!   field whose own fields stand in the parent's JSON, where they are `via`. `zero`: an optional scalar whose zero
//!   differs from its absence.
//!
//! Invariants: the text is ours and tested whole, so reading it cannot fail at run time; indexing it at the first use
//! takes well under a millisecond, and a message's fields are read when first asked for.

use std::collections::HashMap;
use std::sync::OnceLock;

static TEXT: &str = include_str!("facts.txt");

/// A message of the table; cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(u16);

/// One message: a kind, or a part of one.
#[derive(Debug)]
pub struct Message {
    pub id: MessageId,
    /// `k8s.io.api.core.v1`.
    pub package: &'static str,
    /// `PodSpec`.
    pub name: &'static str,
    /// `apps/v1`, `/v1`: set when the message is a kind of that group version.
    pub group_version: Option<&'static str>,
    /// Whether upstream's OpenAPI documents define it.
    pub openapi: bool,
    /// Whether server-side apply treats it as one value.
    pub atomic: bool,
    pub codec: Codec,
    /// Sorted by name.
    pub fields: Box<[Field]>,
    /// Open-addressed index of `fields` by the hash of their name: position + 1, 0 for empty.
    slots: Box<[u8]>,
    /// Protobuf numbers, ascending, with positions in `fields`.
    by_number: Box<[(u16, u8)]>,
}

/// How a message stands in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// An object of its fields.
    Object,
    /// A string or number, canonical as a string.
    Quantity,
    /// RFC 3339 to the second.
    Time,
    /// RFC 3339 to the microsecond.
    MicroTime,
    /// A number of 32 bits or a string.
    IntOrString,
    /// Go's text of a duration.
    Duration,
    /// Any JSON, kept as it is.
    Raw,
    /// The list of its only field.
    Items,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    One,
    List,
    /// From strings.
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    String,
    Int32,
    Int64,
    Bool,
    Bytes,
    Double,
    Message(MessageId),
}

/// How server-side apply merges a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    Unset,
    Atomic,
    Set,
    /// By these keys, parted by commas.
    Map(&'static str),
}

/// How server-side apply merges a map or struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapType {
    /// As its message says: field by field unless that is atomic.
    Unset,
    /// As one value.
    Atomic,
    /// Field by field, even where the message is atomic.
    Granular,
}

#[derive(Debug)]
pub struct Field {
    /// As JSON spells it.
    pub name: &'static str,
    /// The protobuf number, 0 where there is none.
    pub number: u16,
    pub shape: Shape,
    pub kind: Type,
    pub required: bool,
    pub list_type: ListType,
    /// Strategic merge: a list merges instead of being replaced.
    pub patch_merge: bool,
    /// Strategic merge: a map is replaced instead of being merged.
    pub patch_replace: bool,
    /// Strategic merge: patches name the keys to retain (unions).
    pub patch_retain_keys: bool,
    /// Strategic merge: the key of a list's elements, empty for lists of scalars.
    pub merge_key: &'static str,
    pub map_type: MapType,
    /// A protobuf field whose fields stand in the parent's JSON.
    pub inline: bool,
    /// A JSON field that stands in an inline field's message in protobuf.
    pub via: bool,
    /// The schema's default, as JSON.
    pub default: Option<&'static str>,
    /// Whether zero, though optional, differs from absence (a pointer in Go).
    pub zero_counts: bool,
}

impl MessageId {
    pub fn get(self) -> &'static Message {
        let entry = &table().entries[usize::from(self.0)];
        entry.read.get_or_init(|| entry.parse(self))
    }
}

impl Message {
    /// `k8s.io.api.core.v1.PodSpec`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.package, self.name)
    }

    /// `io.k8s.api.core.v1.PodSpec`, its definition's name in the OpenAPI documents.
    pub fn openapi_name(&self) -> String {
        format!("io.k8s.{}.{}", self.package.trim_start_matches("k8s.io."), self.name)
    }

    /// The field of this JSON name. Protobuf's inline fields have none.
    pub fn field(&self, name: &[u8]) -> Option<&Field> {
        self.position(name).map(|position| &self.fields[position])
    }

    /// The field of this protobuf number.
    pub(crate) fn numbered(&self, number: u64) -> Option<&Field> {
        let found = self.by_number.binary_search_by_key(&number, |(number, _)| u64::from(*number)).ok()?;
        Some(&self.fields[usize::from(self.by_number[found].1)])
    }

    pub(crate) fn by_number_descending(&self) -> impl Iterator<Item = &Field> {
        self.by_number.iter().rev().map(|(_, position)| &self.fields[usize::from(*position)])
    }

    pub(crate) fn position(&self, name: &[u8]) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash(name) & mask;
        loop {
            let position = usize::from(self.slots[slot]).checked_sub(1)?;
            if self.fields[position].name.as_bytes() == name {
                return Some(position);
            }
            slot = (slot + 1) & mask;
        }
    }
}

/// The message of this full name.
pub fn message(name: &str) -> Option<&'static Message> {
    let (package, name) = name.rsplit_once('.')?;
    let table = table();
    let package = table.packages.get(package)?;
    table.find(*package, name).map(MessageId::get)
}

/// Every message, by package and name.
pub fn messages() -> impl Iterator<Item = &'static Message> {
    (0..table().entries.len()).map(|id| MessageId(u16::try_from(id).expect("the table has fewer messages")).get())
}

/// Multiplies eight bytes at a time into the hash; names are short, so that this beats anything stronger.
fn hash(name: &[u8]) -> usize {
    const MULTIPLIER: u64 = 0x517c_c1b7_2722_0a95;
    let mut state = name.len() as u64;
    let mut chunks = name.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        state = (state.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    }
    let tail = chunks.remainder().iter().fold(0u64, |word, byte| (word << 8) | u64::from(*byte));
    state = (state.rotate_left(5) ^ tail).wrapping_mul(MULTIPLIER);
    (state >> 48) as usize
}

struct Table {
    /// By full name.
    packages: HashMap<&'static str, u16>,
    aliases: HashMap<&'static str, u16>,
    /// By package number.
    heads: Vec<Package>,
    entries: Vec<Entry>,
}

struct Package {
    name: &'static str,
    group_version: Option<&'static str>,
    /// Its entries, which are sorted by name.
    entries: std::ops::Range<usize>,
}

struct Entry {
    package: u16,
    name: &'static str,
    /// The rest of its `M` line.
    flags: &'static str,
    /// Its field lines.
    body: &'static str,
    read: OnceLock<Message>,
}

impl Table {
    fn find(&self, package: u16, name: &str) -> Option<MessageId> {
        let range = self.heads[usize::from(package)].entries.clone();
        let found = self.entries[range.clone()].binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        Some(MessageId(u16::try_from(range.start + found).expect("ids are 16 bits wide")))
    }
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| index(TEXT))
}

/// Finds where each package and message begins, without reading fields.
fn index(text: &'static str) -> Table {
    let mut table = Table {
        packages: HashMap::new(),
        aliases: HashMap::new(),
        heads: Vec::new(),
        entries: Vec::with_capacity(1400),
    };
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        if let Some(head) = line.strip_prefix("P ") {
            let mut words = head.split(' ');
            let name = words.next().expect("a package line has a name");
            let number = u16::try_from(table.heads.len()).expect("few packages");
            table.packages.insert(name, number);
            table.aliases.insert(words.next().expect("a package line has an alias"), number);
            let start = table.entries.len();
            table.heads.push(Package { name, group_version: words.next(), entries: start..start });
            rest = after;
            continue;
        }
        let head = line.strip_prefix("M ").expect("fields stand below their message");
        let (name, flags) = head.split_once(' ').unwrap_or((head, ""));
        let end = body_end(after);
        let package = table.heads.len() - 1;
        table.entries.push(Entry {
            package: u16::try_from(package).expect("few packages"),
            name,
            flags,
            body: &after[..end],
            read: OnceLock::new(),
        });
        table.heads[package].entries.end = table.entries.len();
        rest = &after[end..];
    }
    table
}

/// Where the next `M` or `P` line begins; no field has a name of one letter in upper case.
fn body_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        if matches!(bytes.get(start..start + 2), Some(b"M " | b"P ")) {
            return start;
        }
        start += memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len() - start, |length| length + 1);
    }
    start
}

impl Entry {
    fn parse(&self, id: MessageId) -> Message {
        let package = &table().heads[usize::from(self.package)];
        let has = |flag: &str| self.flags.split(' ').any(|word| word == flag);
        let fields: Box<[Field]> = self.body.lines().map(|line| self.field(line)).collect();
        let codec = codec(package.name, self.name, has("openapi"), &fields);
        Message {
            id,
            package: package.name,
            name: self.name,
            group_version: package.group_version.filter(|_| has("kind")),
            openapi: has("openapi"),
            atomic: has("atomic"),
            codec,
            slots: slots(&fields),
            by_number: by_number(&fields),
            fields,
        }
    }

    fn field(&self, line: &'static str) -> Field {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (name, number, kind) = (word(), word(), word());
        let (shape, kind) = self.field_type(kind);
        let mut field = Field {
            name,
            number: number.parse().unwrap_or(0),
            shape,
            kind,
            required: false,
            list_type: ListType::Unset,
            patch_merge: false,
            patch_replace: false,
            patch_retain_keys: false,
            merge_key: "",
            map_type: MapType::Unset,
            inline: false,
            via: false,
            default: None,
            zero_counts: false,
        };
        for attribute in word().split(' ') {
            field.set(attribute);
        }
        field
    }

    fn field_type(&self, text: &'static str) -> (Shape, Type) {
        let (shape, name) = match (text.strip_prefix("[]"), text.strip_prefix("{}")) {
            (Some(element), _) => (Shape::List, element),
            (_, Some(value)) => (Shape::Map, value),
            _ => (Shape::One, text),
        };
        let kind = match name {
            "s" => Type::String,
            "i" => Type::Int32,
            "l" => Type::Int64,
            "b" => Type::Bool,
            "y" => Type::Bytes,
            "d" => Type::Double,
            _ => {
                let (package, name) = match name.rsplit_once('.') {
                    Some((alias, name)) => (table().aliases[alias], name),
                    None => (self.package, name),
                };
                Type::Message(table().find(package, name).expect("every named message is in the table"))
            }
        };
        (shape, kind)
    }
}

impl Field {
    fn set(&mut self, attribute: &'static str) {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let (first, second) = value.split_once(':').unwrap_or((value, ""));
        match name {
            "!" => self.required = true,
            "atomic" => self.map_type = MapType::Atomic,
            "granular" => self.map_type = MapType::Granular,
            "inline" => self.inline = true,
            "via" => self.via = true,
            "zero" => self.zero_counts = true,
            "default" => self.default = Some(value),
            "list" => {
                self.list_type = match first {
                    "map" => ListType::Map(second),
                    "set" => ListType::Set,
                    _ => ListType::Atomic,
                }
            }
            "patch" => {
                for strategy in first.split(',') {
                    self.patch_merge |= strategy == "merge";
                    self.patch_replace |= strategy == "replace";
                    self.patch_retain_keys |= strategy == "retainKeys";
                }
                self.merge_key = second;
            }
            _ => {}
        }
    }
}

fn codec(package: &str, name: &str, openapi: bool, fields: &[Field]) -> Codec {
    match (package.rsplit('.').next().unwrap_or_default(), name) {
        ("resource", "Quantity" | "QuantityValue") => Codec::Quantity,
        ("v1", "Time") => Codec::Time,
        ("v1", "MicroTime") => Codec::MicroTime,
        ("v1", "Duration") => Codec::Duration,
        ("intstr", "IntOrString") => Codec::IntOrString,
        ("runtime", "RawExtension") | ("v1", "FieldsV1") => Codec::Raw,
        (
            "v1" | "v1beta1",
            "JSON" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray",
        ) => Codec::Raw,
        _ => match fields {
            [only] if only.name == "items" && !openapi => Codec::Items,
            _ => Codec::Object,
        },
    }
}

fn slots(fields: &[Field]) -> Box<[u8]> {
    let size = (fields.len() * 2).next_power_of_two().max(2);
    let mut slots = vec![0u8; size].into_boxed_slice();
    for (position, field) in fields.iter().enumerate().filter(|(_, field)| !field.inline) {
        let mut slot = hash(field.name.as_bytes()) & (size - 1);
        while slots[slot] != 0 {
            slot = (slot + 1) & (size - 1);
        }
        slots[slot] = u8::try_from(position + 1).expect("the generator refuses more than 128 fields");
    }
    slots
}

fn by_number(fields: &[Field]) -> Box<[(u16, u8)]> {
    let numbered = fields.iter().zip(0u8..).filter(|(field, _)| field.number != 0);
    let mut numbers: Vec<_> = numbered.map(|(field, position)| (field.number, position)).collect();
    numbers.sort_unstable();
    numbers.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_and_type_of_the_table_reads() {
        let all: Vec<_> = messages().collect();
        assert!(all.len() > 1300, "{}", all.len());
        for message in &all {
            assert_eq!(super::message(&message.full_name()).map(|m| m.id), Some(message.id));
            for field in message.fields.iter().filter(|field| !field.inline) {
                let found = message.field(field.name.as_bytes()).expect("indexed");
                assert_eq!(found.name, field.name);
                let in_json_only = field.via || message.openapi || message.group_version.is_some();
                assert!(field.number != 0 || in_json_only, "{}.{}", message.full_name(), field.name);
            }
        }
    }

    #[test]
    fn facts_of_known_fields_are_those_of_the_api() {
        let pod = message("k8s.io.api.core.v1.PodSpec").expect("in the table");
        let containers = pod.field(b"containers").expect("a field");
        assert_eq!((containers.number, containers.shape, containers.merge_key), (2, Shape::List, "name"));
        assert!(containers.required && containers.patch_merge);
        assert_eq!(containers.list_type, ListType::Map("name"));
        let volume = message("k8s.io.api.core.v1.Volume").expect("in the table");
        assert!(volume.field(b"hostPath").expect("a field").via);
        assert!(volume.field(b"volumeSource").is_none(), "an inline field has no JSON name");
        assert!(volume.fields.iter().any(|field| field.inline && field.name == "volumeSource"));
        assert!(pod.field(b"volumes").expect("a field").patch_retain_keys);
        let deployment = message("k8s.io.api.apps.v1.Deployment").expect("in the table");
        assert_eq!(deployment.group_version, Some("apps/v1"));
        assert_eq!(deployment.openapi_name(), "io.k8s.api.apps.v1.Deployment");
        let props = message("k8s.io.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps").expect("there");
        assert_eq!(props.field(b"$ref").expect("a field").number, 3);
        assert_eq!(props.field(b"x-kubernetes-list-map-keys").expect("a field").number, 41);
    }
}

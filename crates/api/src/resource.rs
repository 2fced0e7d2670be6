//! What a resource is called and can do: the row from which routes, discovery, storage keys and tables come.
//!
//! A custom resource yields the same row at run time; its texts are interned, so every row is `Copy` and `'static`.

pub type Text = &'static str;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Cluster,
    Namespaced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subresource {
    Status,
    Scale,
    Log,
    Exec,
    Attach,
    PortForward,
    Proxy,
    Binding,
    Eviction,
    EphemeralContainers,
    Resize,
    Token,
    Approval,
    Finalize,
}

impl Subresource {
    pub const ALL: &'static [Subresource] = &[
        Subresource::Status,
        Subresource::Scale,
        Subresource::Log,
        Subresource::Exec,
        Subresource::Attach,
        Subresource::PortForward,
        Subresource::Proxy,
        Subresource::Binding,
        Subresource::Eviction,
        Subresource::EphemeralContainers,
        Subresource::Resize,
        Subresource::Token,
        Subresource::Approval,
        Subresource::Finalize,
    ];

    /// The path segment.
    pub fn name(self) -> &'static str {
        match self {
            Subresource::Status => "status",
            Subresource::Scale => "scale",
            Subresource::Log => "log",
            Subresource::Exec => "exec",
            Subresource::Attach => "attach",
            Subresource::PortForward => "portforward",
            Subresource::Proxy => "proxy",
            Subresource::Binding => "binding",
            Subresource::Eviction => "eviction",
            Subresource::EphemeralContainers => "ephemeralcontainers",
            Subresource::Resize => "resize",
            Subresource::Token => "token",
            Subresource::Approval => "approval",
            Subresource::Finalize => "finalize",
        }
    }

    pub fn parse(name: &str) -> Option<Subresource> {
        Self::ALL.iter().copied().find(|s| s.name() == name)
    }

    /// The group, version and kind that its body has where that is not the parent's own.
    pub fn kind(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Subresource::Scale => Some(("autoscaling", "v1", "Scale")),
            Subresource::Binding => Some(("", "v1", "Binding")),
            Subresource::Eviction => Some(("policy", "v1", "Eviction")),
            Subresource::Token => Some(("authentication.k8s.io", "v1", "TokenRequest")),
            Subresource::Exec => Some(("", "v1", "PodExecOptions")),
            Subresource::Attach => Some(("", "v1", "PodAttachOptions")),
            Subresource::PortForward => Some(("", "v1", "PodPortForwardOptions")),
            Subresource::Proxy => Some(("", "v1", "PodProxyOptions")),
            _ => None,
        }
    }
}

/// What may be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verbs {
    /// Stored: get, list, watch, create, update, patch, delete, deletecollection.
    Full,
    /// Answered and forgotten, as the reviews are.
    CreateOnly,
    /// Asked anew for each reader, as the statuses of components are.
    ReadOnly,
}

impl Verbs {
    /// Names as discovery lists them.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Verbs::Full => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            Verbs::CreateOnly => &["create"],
            Verbs::ReadOnly => &["get", "list"],
        }
    }
}

/// A server-side table column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: Text,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: Text,
    /// `name` for the column that `kubectl` takes as the object's name, else empty.
    pub format: Text,
    /// 0: always shown; 1: with `-o wide`.
    pub priority: i32,
    pub description: Text,
}

impl Column {
    const fn new(name: &'static str, kind: &'static str, format: &'static str, priority: i32) -> Column {
        Column { name, kind, format, priority, description: "" }
    }
    /// The first column of nearly every table.
    pub const NAME: Column = Column::new("Name", "string", "name", 0);
    /// The age, for kinds whose tables show it; the cell is the translated age (`5m`).
    pub const AGE: Column = Column::new("Age", "string", "", 0);
    /// The time of creation, for kinds without a table of their own; the cell is a time stamp.
    pub const CREATED_AT: Column = Column::new("Created At", "date", "", 0);
    pub const fn text(name: &'static str) -> Column {
        Column::new(name, "string", "", 0)
    }
    pub const fn integer(name: &'static str) -> Column {
        Column::new(name, "integer", "", 0)
    }
    pub const fn boolean(name: &'static str) -> Column {
        Column::new(name, "boolean", "", 0)
    }
    /// Shown with `-o wide` only.
    pub const fn wide(name: &'static str) -> Column {
        Column::new(name, "string", "", 1)
    }
    /// The same column under a description, which `kubectl` shows nowhere but clients may.
    pub const fn about(self, description: &'static str) -> Column {
        Column { description, ..self }
    }
}

/// One served resource of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceDef {
    /// Empty for core.
    pub group: Text,
    pub version: Text,
    pub kind: Text,
    pub plural: Text,
    pub singular: Text,
    pub short_names: &'static [Text],
    /// `all` for those that `kubectl get all` shows.
    pub categories: &'static [Text],
    pub scope: Scope,
    pub subresources: &'static [Subresource],
    pub verbs: Verbs,
    pub columns: &'static [Column],
    /// The fields, beside name and namespace, by which `Kind::fields` lets objects be selected.
    pub selectable: &'static [Text],
    /// Stored and served, but no part of this server acts on it yet: writes are answered with a warning that says so.
    pub unattended: bool,
    /// Whether a PUT creates what is not there.
    pub create_on_update: bool,
    /// Whether an update may leave out the resourceVersion, and then replaces whatever is there.
    pub unconditional_update: bool,
    /// What whoever asks for the kind is told; empty for one that stays.
    pub deprecation: Text,
    /// The schema's message (`k8s.io.api.core.v1.Pod`); empty for custom kinds.
    pub message: Text,
}

impl ResourceDef {
    /// A row for a built-in kind; the rest is set by `with_*` in const context.
    pub const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        singular: &'static str,
        scope: Scope,
        message: &'static str,
    ) -> ResourceDef {
        ResourceDef {
            group,
            version,
            kind,
            plural,
            singular,
            short_names: &[],
            categories: &[],
            scope,
            subresources: &[],
            verbs: Verbs::Full,
            columns: &[Column::NAME, Column::AGE],
            selectable: &[],
            unattended: false,
            create_on_update: false,
            unconditional_update: true,
            deprecation: "",
            message,
        }
    }

    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods`, `deployments.apps`: how errors and RBAC name it.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_string() } else { format!("{}.{}", self.plural, self.group) }
    }

    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    pub fn has(&self, subresource: Subresource) -> bool {
        self.subresources.contains(&subresource)
    }

    /// As `Subresource::kind`, of this resource: what can be proxied to has options of its own.
    pub fn subresource_kind(&self, subresource: Subresource) -> Option<(&'static str, &'static str, &'static str)> {
        match (subresource, self.kind) {
            (Subresource::Proxy, "Node") => Some(("", "v1", "NodeProxyOptions")),
            (Subresource::Proxy, "Service") => Some(("", "v1", "ServiceProxyOptions")),
            _ => subresource.kind(),
        }
    }

    /// Where its objects live in the store, `/` at the end: `/core/pods/`, `/apps/deployments/`. The version is not
    /// part of it: all versions of a kind are one object.
    pub fn prefix(&self) -> String {
        let group = if self.group.is_empty() { "core" } else { self.group };
        format!("/{group}/{}/", self.plural)
    }

    /// One object's key: `/core/pods/default/web-0`, `/core/nodes/n1`.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        match self.scope {
            Scope::Namespaced => format!("{}{namespace}/{name}", self.prefix()),
            Scope::Cluster => format!("{}{name}", self.prefix()),
        }
    }

    /// The URL path of a collection or an object, as clients request it.
    pub fn path(&self, namespace: Option<&str>, name: Option<&str>, subresource: Option<&str>) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if let (Scope::Namespaced, Some(namespace)) = (self.scope, namespace) {
            path.push_str("/namespaces/");
            path.push_str(namespace);
        }
        path.push('/');
        path.push_str(self.plural);
        for part in [name, subresource].into_iter().flatten() {
            path.push('/');
            path.push_str(part);
        }
        path
    }
}

//! Ingress: HTTP from outside to services.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressRule, IngressSpec, IngressTLS,
};
use k8s_openapi::jiff::Timestamp;

/// The annotation that named a class before there was a field for it.
const CLASS: &str = "kubernetes.io/ingress.class";
const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];

impl Kind for Ingress {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["ing"],
        subresources: &[Subresource::Status],
        columns: &[
            Column::NAME,
            Column::text("Class").about("Who serves it."),
            Column::text("Hosts").about("The names that it answers to."),
            Column::text("Address").about("Where it is reached."),
            Column::text("Ports").about("The ports that it opens."),
            Column::AGE,
        ],
        unattended: true,
        ..ResourceDef::new(
            "networking.k8s.io",
            "v1",
            "Ingress",
            "ingresses",
            "ingress",
            Scope::Namespaced,
            "k8s.io.api.networking.v1.Ingress",
        )
    };

    fn defaults(&mut self) {
        self.status.get_or_insert_default().load_balancer.get_or_insert_default();
    }

    fn prepare_create(&mut self) {
        self.status = None;
    }

    fn prepare_update(&mut self, old: &Ingress) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Ingress) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        spec(&mut errors, &FieldPath::new("spec"), &self.spec.clone().unwrap_or_default());
        errors
    }

    /// The annotation of old and the field do not go together; what is there keeps both.
    fn validate_create(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let class = self.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref());
        let annotated = self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CLASS));
        if let (Some(_), Some(annotated)) = (class, annotated) {
            let path = FieldPath::new("annotations").child(CLASS);
            errors.push(FieldError::invalid(path, annotated, "can not be set when the class field is also set"));
        }
        errors
    }

    fn validate_update(&self, old: &Ingress) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let balancer = self.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        for (index, own) in balancer.iter().flat_map(|own| own.ingress.iter().flatten()).enumerate() {
            if self.status != old.status {
                let path = FieldPath::new("status").child("loadBalancer").child("ingress").index(index);
                check::reached_at(&mut errors, &path, own.ip.as_deref(), own.hostname.as_deref());
            }
        }
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &Ingress) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let spec = self.spec.as_ref();
        let rules = spec.and_then(|spec| spec.rules.as_ref()).into_iter().flatten();
        let hosts: Vec<String> = rules.filter_map(|rule| rule.host.clone()).filter(|host| !host.is_empty()).collect();
        let status = self.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
        let tls = spec.and_then(|spec| spec.tls.as_ref()).is_some_and(|tls| !tls.is_empty());
        vec![
            columns::name(&self.metadata),
            columns::or_none(spec.and_then(|spec| spec.ingress_class_name.as_deref())),
            columns::first_three(&hosts, "*"),
            Cell::Text(columns::addresses(ingress.map(|ingress| (&ingress.ip, &ingress.hostname)))),
            Cell::from(if tls { "80, 443" } else { "80" }),
            columns::created(&self.metadata, now),
        ]
    }
}

fn spec(errors: &mut Errors, path: &FieldPath, spec: &IngressSpec) {
    let rules = spec.rules.as_deref().unwrap_or_default();
    if rules.is_empty() && spec.default_backend.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(path.clone(), rules, detail));
    }
    if let Some(backend) = &spec.default_backend {
        self::backend(errors, &path.child("defaultBackend"), backend);
    }
    for (index, rule) in rules.iter().enumerate() {
        self::rule(errors, &path.child("rules").index(index), rule);
    }
    for (index, tls) in spec.tls.iter().flatten().enumerate() {
        self::tls(errors, &path.child("tls").index(index), tls);
    }
    if let Some(name) = &spec.ingress_class_name {
        check::dns1123_subdomain(errors, &path.child("ingressClassName"), name);
    }
}

fn host_name(errors: &mut Errors, path: &FieldPath, host: &str) {
    let complaints = if host.contains('*') {
        labels::wildcard_dns1123_subdomain(host)
    } else {
        labels::dns1123_subdomain(host, false)
    };
    check::each(errors, path, host, complaints);
}

fn tls(errors: &mut Errors, path: &FieldPath, tls: &IngressTLS) {
    for (index, host) in tls.hosts.iter().flatten().enumerate() {
        host_name(errors, &path.child("hosts").index(index), host);
    }
    if let Some(name) = tls.secret_name.as_deref().filter(|name| !name.is_empty()) {
        check::dns1123_subdomain(errors, &path.child("secretName"), name);
    }
}

fn rule(errors: &mut Errors, path: &FieldPath, rule: &IngressRule) {
    if let Some(host) = rule.host.as_deref().filter(|host| !host.is_empty()) {
        if host.parse::<std::net::IpAddr>().is_ok() {
            let detail = "must be a DNS name, not an IP address";
            errors.push(FieldError::invalid(path.child("host"), host, detail));
        }
        host_name(errors, &path.child("host"), host);
    }
    let Some(http) = &rule.http else { return };
    let path = path.child("http").child("paths");
    if http.paths.is_empty() {
        errors.push(FieldError::required(path.clone(), ""));
    }
    for (index, own) in http.paths.iter().enumerate() {
        http_path(errors, &path.index(index), own);
    }
}

fn http_path(errors: &mut Errors, path: &FieldPath, own: &HTTPIngressPath) {
    let target = own.path.as_deref().unwrap_or_default();
    match own.path_type.as_str() {
        "" => errors.push(FieldError::required(path.child("pathType"), "pathType must be specified")),
        "Exact" | "Prefix" => {
            if !target.starts_with('/') {
                errors.push(FieldError::invalid(path.child("path"), target, "must be an absolute path"));
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|part| target.contains(part)) {
                let detail = format!("must not contain '{part}'");
                errors.push(FieldError::invalid(path.child("path"), target, detail));
            }
            for end in ["/..", "/."].into_iter().filter(|end| target.ends_with(end)) {
                let detail = format!("cannot end with '{end}'");
                errors.push(FieldError::invalid(path.child("path"), target, detail));
            }
        }
        "ImplementationSpecific" if !target.is_empty() && !target.starts_with('/') => {
            errors.push(FieldError::invalid(path.child("path"), target, "must be an absolute path"));
        }
        kind => check::supported_if_set(errors, &path.child("pathType"), Some(kind), PATH_TYPES),
    }
    backend(errors, &path.child("backend"), &own.backend);
}

fn backend(errors: &mut Errors, path: &FieldPath, backend: &IngressBackend) {
    match (&backend.service, &backend.resource) {
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid(path.clone(), "", "cannot set both resource and service backends"));
        }
        (None, None) => {
            errors.push(FieldError::required(path.clone(), "either service or resource backend is required"));
        }
        (Some(service), None) => {
            let path = path.child("service");
            if service.name.is_empty() {
                errors.push(FieldError::required(path.child("name"), ""));
            } else {
                check::each(errors, &path.child("name"), &service.name, labels::dns1123_label(&service.name, false));
            }
            let port = service.port.as_ref();
            let name = port.and_then(|port| port.name.as_deref()).filter(|name| !name.is_empty());
            let number = port.and_then(|port| port.number).filter(|number| *number != 0);
            match (name, number) {
                (Some(_), Some(_)) => {
                    errors.push(FieldError::invalid(path, "", "cannot set both port name & port number"));
                }
                (Some(name), None) => {
                    check::each(errors, &path.child("port").child("name"), name, labels::port_name(name));
                }
                (None, Some(number)) => {
                    let complaints = labels::port_number(number);
                    check::each(errors, &path.child("port").child("number"), &number, complaints);
                }
                (None, None) => errors.push(FieldError::required(path, "port name or number is required")),
            }
        }
        (None, Some(resource)) => {
            let path = path.child("resource");
            check::present(errors, path.child("kind"), Some(&resource.kind));
            check::present(errors, path.child("name"), Some(&resource.name));
        }
    }
}

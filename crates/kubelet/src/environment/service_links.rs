//! The variables that name services: how programs found each other before there was DNS.

use k8s_openapi::api::core::v1::Service;

/// Whether it has an address to speak of.
pub(crate) fn has_address(service: &Service) -> bool {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    address.is_some_and(|address| !address.is_empty() && address != "None")
}

/// A service's variables, in upstream's order.
pub(crate) fn variables(service: &Service) -> Vec<(String, String)> {
    let Some(spec) = service.spec.as_ref().filter(|_| has_address(service)) else { return Vec::new() };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let prefix = variable_name(service.metadata.name.as_deref().unwrap_or_default());
    let ports = spec.ports.as_deref().unwrap_or_default();
    let mut variables = vec![(format!("{prefix}_SERVICE_HOST"), ip.to_owned())];
    if let Some(first) = ports.first() {
        variables.push((format!("{prefix}_SERVICE_PORT"), first.port.to_string()));
    }
    for port in ports {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            variables.push((format!("{prefix}_SERVICE_PORT_{}", variable_name(name)), port.port.to_string()));
        }
    }
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    for (index, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
        if index == 0 {
            variables.push((format!("{prefix}_PORT"), url.clone()));
        }
        let of_port = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
        variables.push((of_port.clone(), url));
        variables.push((format!("{of_port}_PROTO"), protocol.to_lowercase()));
        variables.push((format!("{of_port}_PORT"), port.port.to_string()));
        variables.push((format!("{of_port}_ADDR"), ip.to_owned()));
    }
    variables
}

fn variable_name(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_has_its_variables() {
        let service: Service = serde_saphyr::from_str(
            "{metadata: {name: my-web}, spec: {clusterIP: 10.43.0.5, ports: [{name: http-alt, port: 80}, {port: 53, protocol: UDP}]}}",
        )
        .unwrap();
        let lines: Vec<String> =
            variables(&service).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            lines,
            [
                "MY_WEB_SERVICE_HOST=10.43.0.5",
                "MY_WEB_SERVICE_PORT=80",
                "MY_WEB_SERVICE_PORT_HTTP_ALT=80",
                "MY_WEB_PORT=tcp://10.43.0.5:80",
                "MY_WEB_PORT_80_TCP=tcp://10.43.0.5:80",
                "MY_WEB_PORT_80_TCP_PROTO=tcp",
                "MY_WEB_PORT_80_TCP_PORT=80",
                "MY_WEB_PORT_80_TCP_ADDR=10.43.0.5",
                "MY_WEB_PORT_53_UDP=udp://10.43.0.5:53",
                "MY_WEB_PORT_53_UDP_PROTO=udp",
                "MY_WEB_PORT_53_UDP_PORT=53",
                "MY_WEB_PORT_53_UDP_ADDR=10.43.0.5",
            ]
        );
    }

    #[test]
    fn a_headless_service_has_none() {
        let service: Service =
            serde_saphyr::from_str("{metadata: {name: a}, spec: {clusterIP: None, ports: [{port: 1}]}}").unwrap();
        assert_eq!(variables(&service), []);
    }
}

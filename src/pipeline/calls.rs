//! What DCE/RPC servers would not do: no symptom has a name for it, and whoever looks for lost mail wants to know.
//!
//! Takes:  the report's flows
//! Gives:  a sentence for each service that answered calls with faults, and for each that refused to be bound
//! Never:  judges: clients try interfaces that a server does not have, and cancel calls

use std::collections::{BTreeMap, BTreeSet};

use crate::report::model::{Flow, Rpc};

/// Services told of; the others are counted.
const MAX_SERVICES: usize = 20;

/// Kinds of fault, and interfaces, that one sentence names.
const MAX_KINDS: usize = 4;

/// What one service would not do.
#[derive(Default)]
struct Service<'a> {
    calls: u64,
    faults: u64,
    /// Count by operation and status.
    kinds: BTreeMap<(&'a str, &'a str), u64>,
    /// Binds refused as a whole.
    binds: u64,
    /// Interfaces that were not taken.
    interfaces: BTreeSet<&'a str>,
}

impl<'a> Service<'a> {
    fn take(&mut self, rpc: &'a Rpc) {
        for (operation, o) in &rpc.operations {
            self.calls += o.count;
            for (status, count) in &o.faults {
                self.faults += count;
                *self.kinds.entry((operation, status)).or_default() += count;
            }
        }
        self.binds += rpc.binds_refused;
        for interface in &rpc.interfaces {
            if interface.accepted == Some(false) {
                self.interfaces
                    .insert(interface.name.unwrap_or(&interface.uuid));
            }
        }
    }

    fn sentences(&self, server: &str) -> Vec<String> {
        let mut all = Vec::new();
        if self.faults > 0 {
            let mut kinds: Vec<_> = self.kinds.iter().collect();
            kinds.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
            let named = kinds
                .iter()
                .map(|((operation, status), count)| format!("{operation} {status} ({count})"));
            all.push(format!(
                "{server} answered {} of {} DCE/RPC calls with a fault: {}",
                self.faults,
                self.calls,
                list(named.collect())
            ));
        }
        if self.binds > 0 || !self.interfaces.is_empty() {
            let whole = match self.binds {
                0 => String::new(),
                1 => " (one bind as a whole)".to_owned(),
                n => format!(" ({n} binds as a whole)"),
            };
            let named = self.interfaces.iter().map(|&i| i.to_owned());
            let named = match list(named.collect()) {
                none if none.is_empty() => "an interface that was not seen".to_owned(),
                named => named,
            };
            all.push(format!(
                "{server} refused to be bound by DCE/RPC to {named}{whole}"
            ));
        }
        all
    }
}

/// The first few, and how many more.
fn list(mut items: Vec<String>) -> String {
    let more = items.len().saturating_sub(MAX_KINDS);
    items.truncate(MAX_KINDS);
    let named = items.join(", ");
    match more {
        0 => named,
        n => format!("{named}, and {n} more"),
    }
}

/// What to tell of calls that failed.
pub(super) fn failed(flows: &[Flow]) -> Vec<String> {
    let mut services: BTreeMap<&str, Service<'_>> = BTreeMap::new();
    for flow in flows {
        if let Some(rpc) = &flow.rpc {
            services.entry(&flow.server).or_default().take(rpc);
        }
    }
    let told: Vec<Vec<String>> = services
        .iter()
        .map(|(server, service)| service.sentences(server))
        .filter(|sentences| !sentences.is_empty())
        .collect();
    let more = told.len().saturating_sub(MAX_SERVICES);
    let mut notes: Vec<String> = told.into_iter().take(MAX_SERVICES).flatten().collect();
    if more > 0 {
        notes.push(format!(
            "{more} more services answered DCE/RPC calls with faults, or refused to be bound"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::{RpcInterface, RpcOperation};

    fn operation(count: u64, faults: &[(&str, u64)]) -> RpcOperation {
        RpcOperation {
            count,
            unanswered: 0,
            faults: faults.iter().map(|&(s, n)| (s.to_owned(), n)).collect(),
            min: None,
            median: None,
            p95: None,
            max: None,
            sum: None,
        }
    }

    fn interface(name: Option<&'static str>, accepted: Option<bool>) -> RpcInterface {
        RpcInterface {
            uuid: "a4f1db00-ca47-1067-b31f-00dd010662da".to_owned(),
            name,
            accepted,
        }
    }

    #[test]
    fn what_a_service_would_not_do() {
        type Operations = Vec<(&'static str, RpcOperation)>;
        type Case = (
            &'static str,
            Vec<RpcInterface>,
            u64,
            Operations,
            &'static [&'static str],
        );
        let cases: [Case; 6] = [
            (
                "all is well",
                vec![interface(Some("EMSMDB"), Some(true))],
                0,
                vec![("EMSMDB EcDoRpcExt2", operation(9, &[]))],
                &[],
            ),
            (
                "an answer that was not seen",
                vec![interface(Some("EMSMDB"), None)],
                0,
                vec![],
                &[],
            ),
            (
                "faults, the most frequent first",
                vec![],
                0,
                vec![
                    (
                        "EMSMDB EcDoConnectEx",
                        operation(2, &[("nca_s_fault_cancel", 1)]),
                    ),
                    (
                        "EMSMDB EcDoRpcExt2",
                        operation(9, &[("nca_s_fault_unspec", 3)]),
                    ),
                ],
                &[
                    "s:1 answered 4 of 11 DCE/RPC calls with a fault: EMSMDB EcDoRpcExt2 nca_s_fault_unspec (3), \
                   EMSMDB EcDoConnectEx nca_s_fault_cancel (1)",
                ],
            ),
            (
                "a bind refused",
                vec![interface(Some("EMSMDB"), Some(false))],
                1,
                vec![],
                &["s:1 refused to be bound by DCE/RPC to EMSMDB (one bind as a whole)"],
            ),
            (
                "one interface of a bind refused",
                vec![
                    interface(Some("NSPI"), Some(true)),
                    interface(None, Some(false)),
                ],
                0,
                vec![],
                &["s:1 refused to be bound by DCE/RPC to a4f1db00-ca47-1067-b31f-00dd010662da"],
            ),
            (
                "the bind itself was not seen",
                vec![],
                2,
                vec![],
                &[
                    "s:1 refused to be bound by DCE/RPC to an interface that was not seen (2 binds as a whole)",
                ],
            ),
        ];
        for (name, interfaces, binds_refused, operations, want) in cases {
            let rpc = Rpc {
                interfaces,
                binds_refused,
                max_outstanding: 1,
                operations: operations
                    .into_iter()
                    .map(|(name, o)| (name.to_owned(), o))
                    .collect(),
            };
            let mut service = Service::default();
            service.take(&rpc);
            assert_eq!(service.sentences("s:1"), want, "{name}");
        }
    }
}

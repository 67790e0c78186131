//! What a listed flow takes up in memory: a capture may hold 100,000 of them, and any one of them thousands of messages.

use std::borrow::Cow;

use super::few::Few;
use super::model::{
    Flow, Half, Hop, Message, Phase, Refusal, RpcInterface, RpcOperation, SmbCommand, Stall,
    TimeShare,
};

/// A short text on its own, with what the allocator adds.
const TEXT: usize = 32;

/// An entry of a map within a map.
const ENTRY: usize = 64;

impl Flow {
    /// Octets of memory that it takes up, about.
    pub(super) fn held(&self) -> usize {
        let halves = [&self.client_to_server, &self.server_to_client];
        let stalls = halves.map(|half| half.stalls.capacity());
        let smtp = self.smtp.as_ref().map_or(0, |smtp| {
            let hops: usize = smtp.messages.iter().map(|m| m.hops.capacity()).sum();
            let texts = smtp.capabilities.iter().chain(&smtp.banner);
            let refused = smtp.refusals.iter().map(|r| &r.text);
            let names = smtp.messages.iter().flat_map(|m| &m.hops);
            let names = names.flat_map(|hop| [&hop.from, &hop.by]).flatten();
            let texts: usize = texts.chain(refused).chain(names).map(String::len).sum();
            size_of_val(&**smtp)
                + smtp.capabilities.capacity() * (size_of::<String>() + TEXT)
                + entries::<(Cow<str>, u64)>(&smtp.commands)
                + entries::<(u16, u64)>(&smtp.replies)
                + entries::<(&str, Phase)>(&smtp.phases)
                + smtp.messages.capacity() * size_of::<Message>()
                + hops * (size_of::<Hop>() + 2 * TEXT)
                + smtp.refusals.capacity() * (size_of::<Refusal>() + 3 * TEXT)
                + 3 * TEXT
                + texts
        });
        let smb = self.smb.as_ref().map_or(0, |smb| {
            let errors: usize = smb.commands.values().map(|c| count(&c.errors)).sum();
            size_of_val(&**smb)
                + entries::<(String, SmbCommand)>(&smb.commands)
                + errors * ENTRY
                + 2 * TEXT
        });
        let rpc = self.rpc.as_ref().map_or(0, |rpc| {
            let faults: usize = rpc.operations.values().map(|o| count(&o.faults)).sum();
            size_of_val(&**rpc)
                + entries::<(String, RpcOperation)>(&rpc.operations)
                + rpc.interfaces.capacity() * (size_of::<RpcInterface>() + TEXT)
                + faults * ENTRY
        });
        size_of::<Self>()
            + 2 * size_of::<Half>()
            + stalls.iter().sum::<usize>() * size_of::<Stall>()
            + self.time.capacity() * size_of::<TimeShare>()
            + 3 * TEXT
            + smtp
            + smb
            + rpc
    }
}

fn count<K, V>(map: &Few<K, V>) -> usize {
    map.into_iter().len()
}

/// Octets of a map's entries of this type, each with a short text.
fn entries<E>(map: impl IntoIterator<IntoIter: ExactSizeIterator>) -> usize {
    map.into_iter().len() * (size_of::<E>() + TEXT)
}

//! Which scopes an option is looked up in, the innermost first (DESIGN: scopes fall back from the inside out).

use std::net::IpAddr;

use super::names::{Net, XMPP_PREFIX};
use super::pattern::is_pattern;
use super::place::Place;
use super::scope::{Chain, Scope};

/// Listen, listener, global.
pub(super) fn listen<'a>(
    root: &'a Scope,
    listener: &'a Scope,
    listen: Option<&'a Scope>,
) -> Chain<'a> {
    Chain(listen.into_iter().chain([listener, root]).collect())
}

/// Peer in listen, peer in listener, listen, listener, global. In each container the longest prefix that covers `net`.
pub(super) fn peer<'a>(
    root: &'a Scope,
    listener: &'a Scope,
    listen: Option<&'a Scope>,
    net: Net,
) -> Chain<'a> {
    let containers = listen.into_iter().chain([listener]);
    let peers = containers.clone().filter_map(|scope| best_peer(scope, net));
    Chain(peers.chain(containers).chain([root]).collect())
}

fn best_peer(container: &Scope, net: Net) -> Option<&Scope> {
    container
        .all(Place::XmppPeer)
        .filter_map(|peer| Some((Net::parse(&peer.key)?, peer)))
        .filter(|(have, _)| have.covers(net))
        .max_by_key(|(have, _)| have.prefix())
        .map(|(_, peer)| peer)
}

/// `#xmpp#name`, name, the patterns that match it in the order of the file, global. A pattern alone falls back to global.
pub(super) fn domain<'a>(root: &'a Scope, name: &str) -> Chain<'a> {
    let xmpp = root.child(Place::Domain, &format!("{XMPP_PREFIX}{name}"));
    let plain = root.child(Place::Domain, name);
    let patterns = root.all(Place::Domain).filter(|scope| {
        let pattern = scope.pattern.as_ref();
        pattern.is_some_and(|pattern| !is_pattern(name) && pattern.matches(name))
    });
    let named = xmpp.into_iter().chain(plain);
    Chain(named.chain(patterns).chain([root]).collect())
}

/// The networks that any `Peer` of the listen or its listener names, the longest prefix first.
pub(super) fn nets(listener: &Scope, listen: &Scope) -> Vec<Net> {
    let mut nets: Vec<Net> = Vec::new();
    for peer in listen
        .all(Place::XmppPeer)
        .chain(listener.all(Place::XmppPeer))
    {
        nets.extend(Net::parse(&peer.key).filter(|net| !nets.contains(net)));
    }
    nets.sort_by_key(|net| std::cmp::Reverse(net.prefix()));
    nets
}

/// One address as a network.
pub(super) fn single(ip: IpAddr) -> Option<Net> {
    Net::parse(&ip.to_canonical().to_string())
}

//! Drops the nodes of a plan that nothing takes (operands of folded constants, arguments that a
//! function reads from the syntax tree), and counts the users of the others.

use super::{Node, NodeId};

/// The nodes that the last one, the root, needs, in the same order.
pub(super) fn prune(nodes: Vec<Node>) -> Vec<Node> {
    let mut needed = vec![false; nodes.len()];
    if let Some(root) = needed.last_mut() {
        *root = true;
    }
    for index in (0..nodes.len()).rev() {
        if needed[index] {
            nodes[index].kind.for_each_operand(|operand| needed[operand.index()] = true);
        }
    }
    let mut renamed = Vec::with_capacity(nodes.len());
    let mut kept = 0u32;
    for is_needed in &needed {
        renamed.push(NodeId(kept));
        kept += u32::from(*is_needed);
    }
    let kept = nodes.into_iter().zip(needed).filter(|(_, needed)| *needed);
    let kept = kept.map(|(mut node, _)| {
        node.kind.for_each_operand_mut(|operand| *operand = renamed[operand.index()]);
        node
    });
    let mut nodes: Vec<Node> = kept.collect();
    count_users(&mut nodes);
    nodes
}

fn count_users(nodes: &mut [Node]) {
    let mut users = vec![0; nodes.len()];
    for node in &*nodes {
        node.kind.for_each_operand(|operand| users[operand.index()] += 1);
    }
    for (node, users) in nodes.iter_mut().zip(users) {
        node.users = users;
    }
}

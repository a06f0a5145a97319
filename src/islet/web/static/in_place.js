// Putting the parts of a list in order while somebody uses one of them: what has the focus or the pointer keeps its place.

/** Make `nodes` the children of `parent`, in this order but for those in use, which stay where they stand. */
export function arrange(parent, nodes) {
  const before = [...parent.children];
  const wanted = new Set(nodes);
  const held = before.filter((node) => wanted.has(node) && node.matches(":hover, :focus-within"));
  const ordered = nodes.filter((node) => !held.includes(node));
  for (const node of held) ordered.splice(before.indexOf(node), 0, node);
  for (const node of before) if (!wanted.has(node)) node.remove();
  ordered.forEach((node, i) => {
    if (held.includes(node)) while (parent.children[i] !== node) parent.children[i].remove(); // they come back below it
    else if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
  });
}

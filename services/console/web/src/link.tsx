import type { ComponentChildren } from 'preact';
import { go } from './state.ts';

/** A link inside the page: an ordinary address, followed without loading the page anew. */
export const Link = (props: {
  href: string;
  label?: string;
  className?: string;
  children: ComponentChildren;
}) => (
  <a
    href={props.href}
    class={props.className}
    aria-label={props.label}
    onClick={(event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      go(props.href);
    }}
  >
    {props.children}
  </a>
);

// Keeps a page fresh. The body's data-live names a stream of server-sent events; the data of an event is the id of an
// element, a line break, and the element's new contents. What somebody types into or has selected is left alone meanwhile.
(() => {
  'use strict';
  const path = document.body.dataset.live;
  if (!path || !window.EventSource) return;
  const status = document.getElementById('stream');
  const latest = new Map();
  let source, again;

  const busy = (element) => {
    const selection = document.getSelection();
    const typed = [...element.querySelectorAll('input, textarea')].some((input) => input.value !== input.defaultValue);
    return typed || element.querySelector('input:focus, select:focus, textarea:focus')
      || selection && !selection.isCollapsed && element.contains(selection.anchorNode);
  };

  const show = (id, html) => {
    const element = document.getElementById(id);
    if (!element || latest.get(id) !== html) return;
    if (busy(element)) {
      setTimeout(show, 1000, id, html);
      return;
    }
    const active = document.activeElement;
    const inside = active !== element && element.contains(active);
    element.innerHTML = html;
    if (!inside) return;
    const same = active.id ? '#' + CSS.escape(active.id) : `[href="${CSS.escape(active.getAttribute('href') || '')}"]`;
    const focus = element.querySelector(same);
    if (focus) focus.focus({ preventScroll: true });
  };

  const say = (text, state) => {
    if (!status) return;
    status.textContent = text;
    status.dataset.state = state;
  };

  const close = () => {
    clearTimeout(again);
    if (source) source.close();
  };

  const open = () => {
    close();
    source = new EventSource(path);
    source.onopen = () => say('live', 'open');
    source.onmessage = (event) => {
      const cut = event.data.indexOf('\n');
      const id = event.data.slice(0, cut), html = event.data.slice(cut + 1);
      if (latest.get(id) === html) return; // sent again after a break
      latest.set(id, html);
      show(id, html);
    };
    source.onerror = () => {
      say('reconnecting…', 'lost');
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 5000);
    };
  };

  // A page that nobody sees gives its connection back: browsers have few for one site.
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  if (!document.hidden) open();
})();

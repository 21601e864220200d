// What all pages share: the theme's switch, the menu, forms that are sent once, and errors of requests that htmx makes.
(() => {
  const root = document.documentElement;
  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-theme-switch]")) return;
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* It holds for this page then. */ }
    document.dispatchEvent(new CustomEvent("theme"));
  });

  // The menu closes as menus do.
  const closeMenus = (but) => document.querySelectorAll("details.menu[open]").forEach((one) => { if (one !== but) one.open = false; });
  document.addEventListener("click", (event) => closeMenus(event.target instanceof Element ? event.target.closest("details.menu") : null));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const open = document.querySelector("details.menu[open]");
    if (!open) return;
    open.querySelector("summary").focus();
    open.open = false;
  });

  // Whoever clicks twice on a form with data-once asks once. Coming back to the page, they may send it again.
  const buttonsOf = (form) => form.querySelectorAll("button:not([type=button])");
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !("once" in form.dataset)) return;
    // After the browser has read what it sends, the button's own value among it.
    setTimeout(() => { if (!event.defaultPrevented) buttonsOf(form).forEach((one) => { one.disabled = true; }); });
  });
  addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-once]").forEach((form) => buttonsOf(form).forEach((one) => { one.disabled = false; }));
  });

  const say = (text) => {
    const main = document.querySelector("main");
    const old = main?.querySelector("[data-request-error]");
    if (old) { old.textContent = text; return; }
    const message = document.createElement("p");
    message.className = "message error";
    message.dataset.requestError = "";
    message.setAttribute("role", "alert");
    message.textContent = text;
    main?.prepend(message);
  };
  document.addEventListener("htmx:sendError", () => say("The server cannot be reached. This page goes on trying."));
  document.addEventListener("htmx:responseError", () => say("That did not work. Load the page again."));
  document.addEventListener("htmx:afterOnLoad", () => document.querySelector("[data-request-error]")?.remove());

  // Plots follow the theme: a page's own script draws them at this event too.
  window.lamppost = { isDark };
})();

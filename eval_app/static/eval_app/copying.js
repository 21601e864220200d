// Buttons that copy what an element holds: data-copy is its selector. Without a clipboard they stay hidden.
(() => {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy]")) {
    const words = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "It could not be copied: select it instead";
      }
      setTimeout(() => { button.textContent = words; }, 2000);
    });
  }
})();

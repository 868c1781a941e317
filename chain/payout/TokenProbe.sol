// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface IToken {
    function balanceOf(address holder) external view returns (uint256);
}

/// @title What a token does with a transfer
/// @notice Never deployed. `conclave lane check` asks an endpoint what would happen if the payer's address had this code: the
/// token sees the payer as its caller, and nothing is changed.
contract TokenProbe {
    /// @return ok whether the transfer succeeded in the sense of BatchPayout
    /// @return silent whether the token answered nothing
    /// @return lost what the payer's balance went down by
    /// @return got what the recipient's balance went up by
    /// @return used the gas of the transfer
    function probe(address token, address to, uint256 amount)
        external
        returns (bool ok, bool silent, uint256 lost, uint256 got, uint256 used)
    {
        uint256 funds = IToken(token).balanceOf(address(this));
        uint256 had = IToken(token).balanceOf(to);
        bytes memory data = abi.encodeWithSignature("transfer(address,uint256)", to, amount);
        used = gasleft();
        assembly ("memory-safe") {
            ok := call(gas(), token, 0, add(data, 32), mload(data), 0, 32)
            silent := iszero(returndatasize())
            if ok {
                switch returndatasize()
                case 0 { ok := gt(extcodesize(token), 0) }
                default { ok := and(gt(returndatasize(), 31), eq(mload(0), 1)) }
            }
        }
        used -= gasleft();
        // A balance that moved the wrong way counts as not moved.
        uint256 now_ = IToken(token).balanceOf(address(this));
        lost = funds > now_ ? funds - now_ : 0;
        now_ = IToken(token).balanceOf(to);
        got = now_ > had ? now_ - had : 0;
    }
}
